;; Needs the component model's async feature.
(component
  (core func (canon task.cancel)))
