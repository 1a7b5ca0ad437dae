"""`python main.py sweep`: a search over parameters by grouped cross-validation on cached features.

* plan     what config/sweeps/<name>.yaml may say
* space    pure: drawn values -> settings, names, the command that repeats a trial
* judging  one set of settings -> grouped_cv metrics, on train+valid alone
* study    Optuna's side: where trials are kept, how they are drawn, killed ones tried again
* results  a trial as tables need it
* search   runs trials until there are enough, alone or beside other processes
* report   the table, what it is worth, the CSV of all trials
"""
