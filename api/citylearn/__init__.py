"""CityLearn 2022 as a benchmark: its environment in a process of its own, our controller beside."""
