;; A module that is no policy.
(module)
