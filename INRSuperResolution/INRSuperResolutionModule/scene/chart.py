"""The figures of a run over time, in a plot; hidden and never saved."""

import slicer
import vtk
from slicer.i18n import tr as _

METRIC_NAMES = {"loss": _("loss"), "mutual_information": _("mutual information (nats)")}
COLORS = ((0.2, 0.5, 0.9), (0.9, 0.5, 0.1), (0.2, 0.7, 0.3), (0.7, 0.3, 0.7))


class MetricsChart:
    """Plots every metric of a run, loss and mutual information for example, once the user asks for it."""

    def __init__(self) -> None:
        self._chart = None
        self._tables = {}
        self._nodes = []
        self._layout = None

    @property
    def isShown(self) -> bool:
        """Whether the chart is in the scene."""
        return self._chart is not None and self._chart.GetScene() is not None

    def show(self, run) -> None:
        """Make the chart of a run and put it into the layout of the views."""
        self.remove()
        if not metricsOf(run):
            return
        self._chart = self._add("vtkMRMLPlotChartNode", _("Super-resolution"))
        self._chart.SetTitle(run.title)
        self._chart.SetXAxisTitle(_("seconds"))
        self._chart.SetYAxisLogScale(True)
        self.update(run)
        manager = slicer.app.layoutManager()
        self._layout = manager.layout if manager is not None else None
        slicer.modules.plots.logic().ShowChartInLayout(self._chart)

    def update(self, run) -> None:
        """Draw what has come since; a metric may come later than others."""
        if not self.isShown:
            return
        for metric in metricsOf(run):
            # on a logarithmic axis only what is above 0 has a place
            points = [(t, v[metric]) for t, v in run.metrics if v.get(metric) is not None and v[metric] > 0]
            table = self._tables.get(metric) or self._addSeries(metric)
            if points and table.GetTable().GetNumberOfRows() != len(points):
                table.GetTable().SetNumberOfRows(len(points))
                for row, point in enumerate(points):
                    for column, value in enumerate(point):
                        table.GetTable().SetValue(row, column, value)
                table.GetTable().Modified()
                table.Modified()

    def remove(self) -> None:
        """Take the chart out of the scene and put the layout back, if it is still the one with the plot."""
        manager = slicer.app.layoutManager()
        if self.isShown and self._layout is not None:
            withPlot = slicer.modules.plots.logic().GetLayoutWithPlot(self._layout)
            if manager.layout == withPlot != self._layout:
                manager.setLayout(self._layout)
        for node in reversed(self._nodes):
            if node.GetScene() is not None:
                slicer.mrmlScene.RemoveNode(node)
        self._chart, self._tables, self._nodes, self._layout = None, {}, [], None

    def _addSeries(self, metric: str):
        name = METRIC_NAMES.get(metric, metric)
        table = self._add("vtkMRMLTableNode", name)
        for label in (_("seconds"), name):
            column = vtk.vtkDoubleArray()
            column.SetName(label)
            table.AddColumn(column)
        series = self._add("vtkMRMLPlotSeriesNode", name)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName(_("seconds"))
        series.SetYColumnName(name)
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
        series.SetColor(*COLORS[len(self._tables) % len(COLORS)])
        self._chart.AddAndObservePlotSeriesNodeID(series.GetID())
        self._tables[metric] = table
        return table

    def _add(self, className: str, name: str):
        node = slicer.mrmlScene.CreateNodeByClass(className)
        node.UnRegister(None)
        node.SetName(name)
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        self._nodes.append(slicer.mrmlScene.AddNode(node))
        return self._nodes[-1]


def metricsOf(run) -> list[str]:
    """The names of all metrics that a run has told so far, in the order in which they came."""
    return list(dict.fromkeys(name for _t, values in run.metrics for name in values))
