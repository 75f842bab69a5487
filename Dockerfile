# inrsr on the CPU, for containers and as a BIDS App:
#   docker build -t inrsr .
#   docker run --rm -v DATASET:/data:ro -v RESULTS:/out inrsr bids /data /out participant
FROM python:3.11.11-slim-bookworm

# PyTorch for the CPU: the package of PyPI brings gigabytes of CUDA
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch==2.8.0 \
    && pip install --no-cache-dir \
       numpy==2.2.6 scipy==1.15.3 SimpleITK==2.5.2 nibabel==5.3.2 psutil==7.0.0 pydicom==3.0.1 safetensors==0.5.3 \
       scikit-image==0.25.2 distributed==2025.5.1

COPY pyproject.toml README.md LICENSE /src/
COPY INRSuperResolutionLib /src/INRSuperResolutionLib
RUN pip install --no-cache-dir --no-deps /src && inrsr --version

# what a user without a home may write to
ENV HOME=/tmp PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1
ENTRYPOINT ["inrsr"]
