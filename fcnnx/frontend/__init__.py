"""ONNX models as networks of integer operators: the only code that knows ONNX."""

from .host import Host
from .importer import Imported, import_models
from .load import ModelSource, network_name
from .lower import supported


__all__ = ["Host", "Imported", "ModelSource", "import_models", "network_name", "supported"]
