;; A component that cannot be run.
(component)
