"""BOPTEST test cases over their REST interface (https://ibpsa.github.io/project1-boptest)."""
