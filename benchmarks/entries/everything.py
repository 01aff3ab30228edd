"""The smallest entry: label 1 everywhere. Whoever scores less has learnt nothing."""

import numpy as np
from entry import read_array, read_task, write_map


def main():
    task = read_task([{}])
    for case, image in zip(task.test.case, task.test.image):
        shape = read_array(image).shape[:3]  # without the colours of a picture
        write_map(task, case, np.ones(shape))


if __name__ == "__main__":
    main()
