"""Area of a machine, from the parts that its PEs state and a model of its buffers."""

from accelsim.area.area import NODE, Area, PartArea, area

__all__ = ["NODE", "Area", "PartArea", "area"]
