"""Sizes in bytes as text for people."""


def size_text(size_bytes: int) -> str:
    """The size, rounded, in the unit a person would choose; "" for a negative one, which means that it is not known."""
    if size_bytes < 0:
        return ""
    size, unit = float(size_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.1f} {unit}" if unit != "bytes" else f"{size_bytes} bytes"
