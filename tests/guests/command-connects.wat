;; Wants the network.
(module
  (import "wasi:sockets/instance-network@0.2.0" "instance-network" (func $network (result i32)))
  (memory (export "memory") 2)
  (func (export "wasi:cli/run@0.2.0#run") (result i32)
    (drop (call $network))
    (i32.const 0)))
