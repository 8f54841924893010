"""Networks that stand in for a twin or an FMU, with what they were measured to be worth.

A surrogate is trained once, checked, and run by onnxruntime. It never speaks outside the range that
it was trained in: those futures go to the model that it replaces, and are counted.
"""
