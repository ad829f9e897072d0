//! The only unsafe code of the media plane: system calls, each block with its SAFETY reason.
