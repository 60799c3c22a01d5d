;; A tool that wants a socket.
(component
  (import "wasi:sockets/tcp@0.2.0" (instance (export "start" (func)))))
