"`python -m seg_course`: the program `seg_course`"

from seg_course.out.cli import main

if __name__ == "__main__":
    main()
