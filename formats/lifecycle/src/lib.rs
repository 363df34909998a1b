//! Device lifecycle: states, legal moves, who may make them.
