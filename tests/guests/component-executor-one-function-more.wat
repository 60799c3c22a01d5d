;; An executor whose granted interface has one function that the host does not have.
(component
  (import "cofferdam:executor/operations@0.1.0" (instance))
  (import "cofferdam:executor/progress@0.1.0" (instance
    (export "report" (func (param "note" string)))
    (export "read-all" (func (result string))))))
