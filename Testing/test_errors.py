"""Which error of a library is told as which of ours."""

from __future__ import annotations

import errno

import numpy as np
import pytest
import torch

from INRSuperResolutionLib.errors import Cancelled, InputError, InrsrError, as_inrsr_error

TOO_MUCH = 10**15


@pytest.mark.parametrize(
    "ask",
    [
        lambda: torch.empty(TOO_MUCH),
        lambda: torch.empty(2**63),
        lambda: torch.empty((2**40, 2**40)),
        lambda: torch.nn.Linear(10**7, 10**7),
        lambda: np.empty((TOO_MUCH, 8)),
        lambda: np.empty((2**40, 2**40)),
        lambda: bytearray(TOO_MUCH),
    ],
)
def test_too_much_is_out_of_memory_whoever_is_asked(ask):
    with pytest.raises(Exception) as caught:
        ask()
    told = as_inrsr_error(caught.value)
    assert (told.exit_code, told.code) == (4, "memory"), caught.value
    assert "coarser" in told.advice


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried to"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8 GB, max allowed: 9 GB)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("Exception thrown in SimpleITK: itk::ERROR: Image: Failed to allocate memory for image."),
        RuntimeError("can't start new thread"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        MemoryError(),
    ],
)
def test_every_wording_is_out_of_memory(error):
    assert as_inrsr_error(error).exit_code == 4


def test_other_errors_keep_their_meaning():
    assert as_inrsr_error(RuntimeError("shape mismatch")).exit_code == 1
    assert as_inrsr_error(ValueError("no such colour")).exit_code == 1
    assert as_inrsr_error(KeyboardInterrupt()).exit_code == 3
    assert as_inrsr_error(OSError(errno.ENOSPC, "No space left on device", "o.nii")).exit_code == 2
    own = InputError("wrong", "Do it right")
    assert as_inrsr_error(own) is own


def test_a_message_is_one_line():
    told = as_inrsr_error(RuntimeError("first\nframe #0\nframe #1"))
    assert str(told) == "unexpected RuntimeError: first. Please report it, with the output of --debug"


def test_exit_codes_are_those_of_the_contract():
    assert [e.exit_code for e in (InrsrError("a"), InputError("a"), Cancelled())] == [1, 2, 3]
