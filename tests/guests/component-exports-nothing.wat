;; A component without imports that exports nothing: no tool.
(component)
