"""Times of 24 hours, as all of our pages have them: Django puts morning and afternoon behind the time."""

TIME_FORMAT = "H:i"
DATETIME_FORMAT = "Y년 n월 j일 H:i"
