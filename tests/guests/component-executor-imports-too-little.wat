;; An executor that drives nothing.
(component
  (import "cofferdam:executor/progress@0.1.0" (instance (export "report" (func (param "note" string))))))
