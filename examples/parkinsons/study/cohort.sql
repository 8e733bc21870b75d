-- SPDX-License-Identifier: Apache-2.0
-- One row a visit: the voice as it was measured, how loud the room was, and what the scan showed.
select v.*, l.noise_db, s.putamen_ratio, s.asymmetry
from voice v
join scan_features s using (patient_id)
left join (select patient_id, visit, avg(noise_db) as noise_db from device_logs group by all) l
  on l.patient_id = v.patient_id and l.visit = v.visit
