//! The anchors document and the order.
