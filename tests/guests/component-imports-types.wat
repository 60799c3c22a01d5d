;; An import that holds only a type: an empty linker would accept it, so linking is not the check.
(component
  (import "cofferdam:tool/types@0.1.0" (instance
    (type $action (enum "read" "list"))
    (export "action" (type (eq $action))))))
