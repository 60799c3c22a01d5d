;; Imports what no WASI 0.2 has.
(component
  (import "wasi:cli/stdin@0.3.0" (instance)))
