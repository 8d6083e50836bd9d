"""Rate of a BLAS library's sgemm at the shapes of a network's linear maps: run by tools/bench train as a process of
its own, since a BLAS takes its number of threads and its kernel from the environment when it is loaded.

usage: python -m nephrite_tools.sgemm LIBRARY M,N,K,COUNT [M,N,K,COUNT ...]       (prints JSON)
"""

import ctypes
import json
import sys
import time

import numpy as np

ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112


def products(rows, out, inner):
    """(m, n, k, transposition of a and of b) of y = x Wᵀ, of the gradient of x and of that of W."""
    return [
        (rows, out, inner, PLAIN, TRANSPOSED),
        (rows, inner, out, PLAIN, PLAIN),
        (out, inner, rows, TRANSPOSED, PLAIN),
    ]


def multiply(blas, product, a, b, c):
    """c [m][n] = a b, of arrays in the forms that the product has them in."""
    m, n, k, a_form, b_form = product
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (a, b, c)]
    strides = [m if a_form == TRANSPOSED else k, k if b_form == TRANSPOSED else n, n]
    one, zero = ctypes.c_float(1), ctypes.c_float(0)
    blas.cblas_sgemm(
        ROW_MAJOR, a_form, b_form, m, n, k,
        one, pointers[0], strides[0], pointers[1], strides[1], zero, pointers[2], strides[2],
    )  # fmt: skip


def seconds(blas, product, repeats=3):
    m, n, k = product[:3]
    random = np.random.default_rng(1)
    a, b = (random.random(size, dtype=np.float32) for size in (m * k, k * n))
    c = np.zeros(m * n, dtype=np.float32)
    best = float("inf")
    for repeat in range(repeats + 1):  # the first to warm up
        begun = time.perf_counter()
        multiply(blas, product, a, b, c)
        best = min(best, time.perf_counter() - begun) if repeat else best
    return best


def main():
    blas = ctypes.CDLL(sys.argv[1])
    flops = total = 0.0
    for words in sys.argv[2:]:
        rows, out, inner, count = map(int, words.split(","))
        for product in products(rows, out, inner):
            flops += count * 2.0 * rows * out * inner
            total += count * seconds(blas, product)
    core = "unknown"
    if hasattr(blas, "openblas_get_corename"):
        blas.openblas_get_corename.restype = ctypes.c_char_p
        core = blas.openblas_get_corename().decode()
    print(json.dumps({"gflops": flops / total / 1e9, "core": core}))


if __name__ == "__main__":
    main()
