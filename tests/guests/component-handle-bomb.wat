;; Makes resources of its own without end while it starts.
(component
  (type $thing (resource (rep i32)))
  (core func $new (canon resource.new $thing))
  (core module $m
    (import "host" "new" (func $new (param i32) (result i32)))
    (func $forever (loop $again (drop (call $new (i32.const 0))) (br $again)))
    (start $forever))
  (core instance (instantiate $m (with "host" (instance (export "new" (func $new)))))))
