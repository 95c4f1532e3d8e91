"""From frames to bytes: a format (what the payload says) in an envelope (how a transport carries it).

Another format is one class in `formats`, and one in `batches` for polls; another envelope is one module here.
"""

from tricast_server.framing.formats import FORMATS, JSON, PROTOBUF, TEXT, Format, format_named, format_told_in

__all__ = ["FORMATS", "JSON", "PROTOBUF", "TEXT", "Format", "format_named", "format_told_in"]
