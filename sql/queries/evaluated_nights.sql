select distinct night
from metric
order by night desc
limit :nights;
