;; An executor that imports its two interfaces and a clock.
(component
  (import "cofferdam:executor/operations@0.1.0" (instance))
  (import "cofferdam:executor/progress@0.1.0" (instance))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance (export "now" (func (result u64))))))
