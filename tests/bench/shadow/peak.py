"""How fast this machine multiplies matrices in f32 at this moment: torch's product of two large squares, the best of a second."""
import time

import torch


def peak(threads: int) -> float:
    """Floating-point operations a second."""
    torch.set_num_threads(threads)
    a, b = torch.randn(1536, 1536), torch.randn(1536, 1536)
    best, end = float("inf"), time.perf_counter() + 1
    with torch.inference_mode():
        while time.perf_counter() < end:
            begin = time.perf_counter()
            torch.mm(a, b)
            best = min(best, time.perf_counter() - begin)
    return 2 * 1536**3 / best
