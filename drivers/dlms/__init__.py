"""DLMS/COSEM (IEC 62056) meters."""
