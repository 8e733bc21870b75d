-- SPDX-License-Identifier: Apache-2.0
-- SPDX-License-Identifier: Apache-2.0
-- One row a recording: who spoke (phon_R01_S01 of recording phon_R01_S01_1), in which fold, the diagnosis and the 22 measures.
select regexp_extract(r.name, '^(.+)_\d+$', 1) as subject, f.fold, r.*
from recordings r
join folds f on f.subject = regexp_extract(r.name, '^(.+)_\d+$', 1)
order by r.name
