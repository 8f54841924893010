;; An adviser to start from: it lets the battery rest for the whole horizon.
;; Its name and version come from manifest.json when it is built. What else these lines may use
;; (memory, $realloc, $column, the host's functions) is in plugins/sdk/wat/shell.wat.

;; Texts lie from 256 on; each is used with its address and its length.
(data (i32.const 256) "battery.power_set_kw")
(data (i32.const 288) "kW")
(data (i32.const 320) "Let the battery rest.")

(func $advise (param $steps i32)
  ;; a trajectory: point, unit, one value a step; the answer is written to 512
  (call $setpoints (i32.const 256) (i32.const 20) (i32.const 288) (i32.const 2)
    (call $column (f64.const 0) (local.get $steps)) (local.get $steps) (i32.const 512))
  ;; the draft as a whole: why, and how sure
  (call $proposal (i32.const 320) (i32.const 21) (f64.const 0.9) (i32.const 512)))
