"""The figures of a run over time, in a plot; hidden and never saved."""

import slicer
from slicer.i18n import tr as _

HIDDEN_CLASSES = ("vtkMRMLTableNode", "vtkMRMLPlotSeriesNode", "vtkMRMLPlotChartNode")


class MetricsChart:
    """Plots the metrics of the latest run, loss for example, once the user asks for it."""

    def __init__(self) -> None:
        self._nodes = []

    def show(self, run, metric: str = "loss") -> None:
        """Make or update the chart of one metric; shown in the plot view of Slicer's layout."""
        points = [(t, values[metric]) for t, values in run.metrics if metric in values]
        if not points:
            return
        if not self._nodes or any(n.GetScene() is None for n in self._nodes):
            self._make(metric)
        table, _series, chart = self._nodes
        table.GetTable().SetNumberOfRows(len(points))
        for row, (seconds, value) in enumerate(points):
            table.GetTable().SetValue(row, 0, seconds)
            table.GetTable().SetValue(row, 1, value)
        table.Modified()
        views = slicer.util.getNodesByClass("vtkMRMLPlotViewNode")
        for view in views:
            view.SetPlotChartNodeID(chart.GetID())

    def _make(self, metric: str) -> None:
        import vtk

        self._nodes = []
        for name in HIDDEN_CLASSES:
            node = slicer.mrmlScene.CreateNodeByClass(name)
            node.UnRegister(None)
            node.SetName(_("Super-resolution {metric}").format(metric=metric))
            node.SetHideFromEditors(True)
            node.SetSaveWithScene(False)
            self._nodes.append(slicer.mrmlScene.AddNode(node))
        table, series, chart = self._nodes
        for name in (_("seconds"), metric):
            column = vtk.vtkDoubleArray()
            column.SetName(name)
            table.AddColumn(column)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName(_("seconds"))
        series.SetYColumnName(metric)
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
        chart.SetXAxisTitle(_("seconds"))
        chart.SetYAxisTitle(metric)
        chart.SetYAxisLogScale(True)

    def remove(self) -> None:
        """Take the chart out of the scene."""
        for node in reversed(self._nodes):
            if node.GetScene() is not None:
                slicer.mrmlScene.RemoveNode(node)
        self._nodes = []
