; Counters whose environment holds the closure that captured it: each call of
; make-counter leaves a cycle behind.
(def make-counter (fn ()
  (def n 0)
  (def step (fn () (set n (+ n 1)) n))
  step))

(def c (make-counter))
(c)
(print "counted to" (c))

(def i 0)
(while (< i 100000)
  ((make-counter))
  (set i (+ i 1))
  (if (= i 50000) (report "half of the closures")))
(report "closures")
