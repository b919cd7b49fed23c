"""The nouns every kind of data draws from."""

NAMES = (
    "Ada Ben Cara Dan Eva Finn Gina Hugo Iris Jack Kira Leo Mia Noah Olga Paul Quinn Rosa Sam Tess Uma Vic Wes Xena "
    "Yara Zoe Amir Bela Chen Dina Emil Fay Gus Hana Ivan June Karl Lena Max Nina"
).split()
FAMILIES = (
    "Adams Baker Clark Diaz Evans Ford Green Hill Irwin Jones King Lopez Moore Novak Owens Price Quist Reed Stone "
    "Torres Underwood Vance Walsh Xu Young Zeller"
).split()
CITIES = (
    "Athens Berlin Cairo Dublin Essen Florence Geneva Helsinki Istanbul Jakarta Kyoto Lisbon Madrid Nairobi Oslo "
    "Paris Quito Rome Seoul Tokyo Utrecht Vienna Warsaw York Zurich"
).split()
JOBS = (
    "actor baker clerk dentist editor farmer guide hunter judge lawyer miner nurse painter pilot poet sailor singer "
    "tailor teacher vet waiter writer"
).split()
ITEMS = (
    "apples books boxes buttons cards coins cookies cups eggs flowers keys lamps lemons marbles nails oranges pears "
    "pencils plums ribbons rings seeds shells spoons stamps stickers stones tickets toys"
).split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
