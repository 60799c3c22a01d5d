;; Wants all the memory there is.
(module
  (memory (export "memory") 2)
  (func (export "wasi:cli/run@0.2.0#run") (result i32)
    (loop $more
      (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
    (unreachable)))
