"""A register map in words: for people, for C and for Python."""

from collections.abc import Mapping

from .description import ACCESSES, Field, Register, RegisterMap


__all__ = ["c_header", "constants", "markdown"]


def constants(registers: RegisterMap) -> dict[str, int]:
    """Every number that a program needs, by a name in upper case.

    ``REGISTER`` is an address in bytes; ``REGISTER_FIELD_SHIFT`` and ``REGISTER_FIELD_MASK`` (in
    its place) find a field; ``REGISTER_VALUE`` or ``REGISTER_FIELD_VALUE`` is what a constant one
    reads.
    """
    found = {"SIZE": registers.size}
    found |= {name.upper(): value for name, value in registers.extras}
    for register in registers.registers:
        found[register.name.upper()] = register.address
        for field in register.fields:
            name = register.port(field).upper()
            if field.name:
                found[f"{name}_SHIFT"] = field.low
                found[f"{name}_MASK"] = field.mask
            if field.access == "constant":
                found[f"{name}_VALUE"] = field.reset
    return found


def c_header(registers: RegisterMap, *, prefix: str = "FCNNX_") -> str:
    """The text of a C header with all :func:`constants`."""
    guard = f"{prefix}REGISTERS_H"
    lines = ["/* Registers of the accelerator: addresses in bytes, fields by shift and mask. */",
             f"#ifndef {guard}", f"#define {guard}", ""]
    lines += [f"#define {prefix}{name} {_literal(value)}"
              for name, value in constants(registers).items()]
    return "\n".join([*lines, "", f"#endif /* {guard} */", ""])


def _literal(value: int) -> str:
    return f"0x{value:x}{'u' if value < 1 << 32 else 'ull'}"


def markdown(registers: RegisterMap) -> str:
    """Tables of the accesses, the registers and their fields."""
    return "\n".join([
        "| access | meaning |", "|---|---|",
        *(f"| {access} | {meaning} |" for access, meaning in _used(registers).items()),
        "", "| address | register | bits | field | access | reset | meaning |",
        "|---|---|---|---|---|---|---|",
        *(row for register in registers.registers for row in _rows(register)), ""])


def _used(registers: RegisterMap) -> Mapping[str, str]:
    there = {field.access for _, field in registers.fields}
    return {access: meaning for access, meaning in ACCESSES.items() if access in there}


def _rows(register: Register) -> list[str]:
    """A row for each field; the first has the register too."""
    start = f"{register.address:#05x}"
    name = f"`{register.name}`" + (f" ({32 * register.words} bits)" if register.words > 1 else "")
    rows = []
    if register.doc:
        rows.append(f"| {start} | {name} | | | | | {register.doc} |")
        start = name = ""
    for field in register.fields:
        rows.append(f"| {start} | {name} | {_bits(field)} | {_code(field.name)} | {field.access} "
                    f"| {field.reset:#x} | {field.doc} |")
        start = name = ""
    return rows


def _bits(field: Field) -> str:
    return f"{field.low}" if field.width == 1 else f"{field.end - 1}:{field.low}"


def _code(name: str) -> str:
    return f"`{name}`" if name else ""
