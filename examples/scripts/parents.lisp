; A tree whose nodes point at their parents, built and dropped many times.
(class Node
  (init (self parent depth)
    (put self parent parent)
    (put self children (list))
    (if (< 0 depth) (do
      (push (get self children) (Node self (- depth 1)))
      (push (get self children) (Node self (- depth 1))))))
  (branches (self) (length (get self children))))

(def probe (weak (Node nil 3)))
(collect)
(print "a dropped tree is alive:" (alive probe))

(def kept (Node nil 4))
(def i 0)
(while (< i 500)
  (Node nil 5)
  (set i (+ i 1))
  (if (= i 250) (report "half of the trees")))
(report "trees")
(print "the kept tree has" (call kept branches) "branches")
