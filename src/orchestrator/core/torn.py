"""Whether a file is half of what it should be, as a power cut leaves it, or what a person has made of it."""


def is_torn(found: bytes, whole: bytes) -> bool:
    """Return whether *found* holds nothing but pieces of *whole*: cut short, or with blocks of zeros instead.

    A file that anybody has edited holds a byte that is neither, and is never called torn.
    """
    if found == whole or len(found) > len(whole):
        return False
    rest = found.rstrip(b"\0")
    return whole.startswith(rest) or all(byte in (0, due) for byte, due in zip(found, whole, strict=False))
