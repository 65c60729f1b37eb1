"""What a register file holds, said once: hardware, documentation and constants follow from it."""

import dataclasses
from collections.abc import Iterator


__all__ = ["ACCESSES", "Field", "Register", "RegisterMap"]


# How a field behaves, for people.
ACCESSES = {
    "constant": "read only, always its reset value",
    "ro": "read only, as the hardware has it",
    "rw": "read and write",
    "w1c": "set by the hardware, and holds; writing 1 to a bit clears it",
    "pulse": "writing 1 does it once; reads as 0",
    "counter": "read only, counts in the hardware",
}
WRITABLE = ("rw", "w1c", "pulse")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """Some bits of a register.

    Parameters
    ----------
    name : :class:`str`
        Lower case; empty for the one field that is all that a register is about.
    low, width : :class:`int`
        First bit, and bits.
    access : :class:`str`
        One of :data:`ACCESSES`.
    reset : :class:`int`
        Value after a reset.
    step : :class:`int`
        Bits of what a counter adds in one cycle.
    cleared : :class:`bool`
        Whether the hardware can bring it back to its reset value.
    doc : :class:`str`
        What it means, in a sentence without a full stop.

    Raises
    ------
    ValueError
        If there is no such access, or the reset value does not fit, or what never holds a value is
        to be cleared.
    """

    name: str = ""
    low: int = 0
    width: int = 32
    access: str
    reset: int = 0
    step: int = 1
    cleared: bool = False
    doc: str

    def __post_init__(self) -> None:
        if self.access not in ACCESSES:
            raise ValueError(f"Access must be one of {', '.join(ACCESSES)}, not {self.access!r}")
        if self.low < 0 or self.width < 1 or self.reset >> self.width:
            raise ValueError(f"{self.width!r} bits from bit {self.low!r} on cannot hold "
                             f"{self.reset!r}")
        if self.cleared and self.access not in ("rw", "w1c", "counter"):
            raise ValueError(f"What is {self.access} cannot be cleared")

    @property
    def end(self) -> int:
        """The bit behind its highest one."""
        return self.low + self.width

    @property
    def mask(self) -> int:
        """Its bits, in their place."""
        return (1 << self.width) - 1 << self.low


@dataclasses.dataclass(frozen=True, kw_only=True)
class Register:
    """One or more 32-bit words, the lowest first.

    Parameters
    ----------
    name : :class:`str`
        Lower case.
    address : :class:`int`
        In bytes, of the lowest word.
    fields : tuple of :class:`Field`
    words : :class:`int`
        Where there are more than one, and the hardware changes them, reading the lowest latches the
        others: reading them upwards gives one value.
    doc : :class:`str`
        What it is for, in a sentence without a full stop; that of its only field if empty.

    Raises
    ------
    ValueError
        If the address is no multiple of 4, or fields overlap or do not fit.
    """

    name: str
    address: int
    fields: tuple[Field, ...]
    words: int = 1
    doc: str = ""

    def __post_init__(self) -> None:
        if self.address < 0 or self.address % 4:
            raise ValueError(f"{self.name}: Address must be a multiple of 4, "
                             f"not {self.address!r}")
        used = 0
        for field in self.fields:
            if field.end > 32 * self.words or used & field.mask:
                raise ValueError(f"{self.name}: Field {field.name!r} overlaps another, "
                                 f"or does not fit")
            used |= field.mask

    @property
    def writable(self) -> bool:
        """Whether a write means anything."""
        return any(field.access in WRITABLE for field in self.fields)

    @property
    def latched(self) -> bool:
        """Whether reading the lowest word latches the others."""
        return self.words > 1 and any(field.access in ("ro", "counter") for field in self.fields)

    def port(self, field: Field) -> str:
        """What names a field of it in the hardware and in constants."""
        return f"{self.name}_{field.name}" if field.name else self.name


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegisterMap:
    """All registers of a device.

    Parameters
    ----------
    registers : tuple of :class:`Register`
        By address.
    interrupt : pair of names, or None
        The register that holds what happened, and the one of the same fields that says for which of
        it the interrupt is raised.
    extras : pairs of a name and a number
        Further constants for programs.

    Raises
    ------
    ValueError
        If addresses overlap or are out of order, or a name is there twice.
    """

    registers: tuple[Register, ...]
    interrupt: tuple[str, str] | None = None
    extras: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        end = 0
        for register in self.registers:
            if register.address < end:
                raise ValueError(f"{register.name}: Address {register.address:#x} is taken, "
                                 f"or out of order")
            end = register.address + 4 * register.words
        names = [register.port(field) for register, field in self.fields]
        if len(set(names)) < len(names):
            raise ValueError(f"Two fields have one of the names {', '.join(names)}")

    @property
    def fields(self) -> Iterator[tuple[Register, Field]]:
        """Every field, with its register."""
        return ((register, field) for register in self.registers for field in register.fields)

    @property
    def size(self) -> int:
        """Bytes of addresses; a power of two."""
        last = self.registers[-1]
        return 1 << (last.address + 4 * last.words - 1).bit_length()

    @property
    def address_width(self) -> int:
        """Bits of an address."""
        return (self.size - 1).bit_length()

    def find(self, name: str) -> Register:
        """The register of a name."""
        (found,) = (register for register in self.registers if register.name == name)
        return found
