"""Ground floor: what a face is. No Qt, no GL, no files."""
