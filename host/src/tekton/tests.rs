//! Whole files, and what becomes of them.
