//! A device or a capture file to batches of frames.
