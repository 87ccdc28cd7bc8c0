; A chat server with a leak: each session registers a listener, and nobody takes it
; out again when the session ends. Find it as the README's "Find a leak" does.
(def listeners (list))

(class Session
  (init (self user)
    (put self user user)
    (put self messages (list "hello" "goodbye"))
    (push listeners (fn (text) (push (get self messages) text)))))

; Opens a session and forgets it.
(def serve (fn (user)
  (def session (Session user))
  (length (get session messages))))

(def i 0)
(while (< i 3000)
  (serve i)
  (set i (+ i 1))
  (if (= i 1000) (report "1000 sessions"))
  (if (= i 2000) (report "2000 sessions")))
(report "3000 sessions")
