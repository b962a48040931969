"""
The benchmarks: `python -m benchmarks`, or `nox -s bench`.
"""
