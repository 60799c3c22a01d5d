;; An executor whose granted function has another signature.
(component
  (import "cofferdam:executor/operations@0.1.0" (instance))
  (import "cofferdam:executor/progress@0.1.0" (instance (export "report" (func (param "note" u64))))))
